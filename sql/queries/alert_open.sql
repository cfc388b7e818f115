-- A root cause that was not known.
insert into alerts
(cause, rule, severity, title, scope, since, level, next_step, runbook, link, detail, state, opened_at, changed_at)
values
(
    %(cause)s, %(rule)s, %(severity)s, %(title)s, %(scope)s, %(since)s, %(level)s, %(next_step)s, %(runbook)s, %(link)s, %(detail)s, 'open',
    %(now)s, %(now)s
)
returning *;
