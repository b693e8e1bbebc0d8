"""A stateful Azure over HTTP, as unkind as the real one, which the real Azure SDK speaks to.

    cloud.py       the server: who asked what, which fault strikes, who answers
    faults.py      the script of faults
    bodies.py      every body against Microsoft's own types
    operations.py  long-running operations
    compute.py     scale sets (Flexible) and their machines       gallery.py  versions of images
    network.py     pools of load balancers                        storage.py  blobs with etags
    edges.py       Application Gateways                           nics.py     interfaces of machines, and who is in which pool
    front.py       what traffic meets at an Application Gateway
    envoys.py      a tier of which there is only what its agents report
    machines.py    what runs on a machine: real processes of the local provider, or only a clock
    guests.py      machines that run the real guest, a process each            metadata.py  what Azure tells them

Written from Microsoft's documents and its SDK: where it is wrong about Azure, so are the tests.
"""
