"""The HTTP server: upload audio, give queries, get mentions (the extra `serve`).

`app` puts it together and tells how to add routes. Everything here calls `earshot.library.Library`
as the command line does; nothing of the engine knows that it is served.
"""
