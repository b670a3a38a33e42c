"""How calls get into the engine, from any language and from inside any sandbox.

Theory of operation. Three transports lead to one endpoint. The transports (:mod:`~.socket_server`,
:mod:`~.spool` and :mod:`~.notify_socket`) carry bytes and defend themselves against whoever holds
the other end; they know nothing of verbs. The endpoint (:mod:`~.endpoint`) checks who asks
(:mod:`~.tokens`) and what (:mod:`~.wire`), answers what only reads from the published state
(:mod:`~.reads`), and hands the rest to the engine as calls. All that arrives in one turn of the
event loop is one turn of the engine and one transaction; a reply leaves only after the commit. A
call that has to wait keeps its ticket (:mod:`~.tickets`), and no client is kept longer than
:data:`~.wire.LONGEST_WAIT_SECONDS`.
"""
