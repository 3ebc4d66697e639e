"""Small ready programs, to use and to learn from: `osmia tool opensnoop`, or from Python.

    from osmia.tools.opensnoop import opensnoop

    with opensnoop(pid=42) as files:
        for each in files:
            print(each.process, each.path)

A tool is a C file and a Python file of its name. Its function is a context manager: while it is
open the programs are attached, and what it gives is a `Stream` of rows or a `Summary` of what is
counted (`osmia.tools.running`). Wheels carry the programs compiled (`osmia.tools.programs`).
"""

#: Each tool and what it is for. Its module and its function have the name, with "_" for "-".
TOOLS = {
    "biolatency": "How long disks take, as histograms.",
    "execsnoop": "Programs that are executed, with their arguments.",
    "offcputime": "Where threads wait, and for how long, by stack.",
    "opensnoop": "Files that are opened, and what was refused.",
    "profile": "What runs on the CPUs, by stack.",
    "runqlat": "How long threads wait for a CPU, as histograms.",
    "syscount": "System calls: which are made, how many fail, how long they take.",
    "tcpconnect": "TCP connections that are opened: by whom, where to.",
    "tcplife": "TCP connections when they end: how long, how many bytes.",
    "xdp-filter": "Drop packets of some addresses or to some ports, and count them.",
}
