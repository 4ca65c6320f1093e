"""The command line: ``rayspan``, also found as ``kubectl rayspan``.

One module per command, each with ``arguments(parser)`` and ``execute(options)``. What a command needs is
imported when it is executed: ``rayspan crd`` and ``rayspan render`` never load kopf.
"""
