"""The nearest minimum of a structure's energy: what may move, how stiff it is, and the way down.

Nothing here asks a model: `worker.tasks.relax` does, and other tasks that need a minimum.
"""
