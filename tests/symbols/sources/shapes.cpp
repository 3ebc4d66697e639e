#include <cstdio>

namespace geo {
struct Shape {
	virtual double area(int scale) const;
	double side = 2;
};

__attribute__((noinline)) double Shape::area(int scale) const
{
	return side * side * scale;
}

template <typename T> __attribute__((noinline)) T twice(T value)
{
	asm volatile("" : "+r"(value));
	return value + value;
}
}

int main(int argc, char **argv)
{
	geo::Shape shape;
	double (geo::Shape::*area)(int) const = &geo::Shape::area;
	std::printf("twice %p\n", (void *)&geo::twice<int>);
	std::fflush(stdout);
	std::getchar();
	return geo::twice<int>(argc) + (shape.*area)(argc) > 3;
}
