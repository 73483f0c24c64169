"""A local studio: recordings, runs and models of one folder, seen and heard in a browser on this machine.

    browser ── guard (Host, Origin, token, sizes, times) ── app ─┬─ tables, clips, labels   (recordings)
                                                                 ├─ runs ── `earnest run` … (child processes)
                                                                 └─ bundles, uploads, live  (models)

The server reads what lies in the folder and leaves all work to child processes of the command `earnest`; it never
imports PyTorch, and it reaches no other machine.
"""
