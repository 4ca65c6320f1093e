"""The fault matrix: the operator against a real API server by way of a proxy that breaks one thing at a time.

    make fault-matrix [OPTIONS="--scenario S --fault F --jobs N"]

Each point is one scenario (``scenarios.py``) with one fault (``faults.py``) at one place: every write of the operator
times every way to break a write, every read, every watched kind. It passes when the namespace comes to the same state
as in the run that nothing disturbed (``state.py``), step by step. There is no KubeRay and no kubelet: ``world.py``
plays their parts, and Ray's dashboard, so that what the operator scales, replaces and removes is really there.
"""
