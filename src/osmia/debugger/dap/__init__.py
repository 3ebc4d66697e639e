"""The debugger for editors: a server of the Debug Adapter Protocol, over stdio or a socket.

https://microsoft.github.io/debug-adapter-protocol/specification
"""
