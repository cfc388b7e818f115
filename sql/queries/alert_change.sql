-- A known cause as it is now; what was over is open again.
update alerts
set
    rule = %(rule)s, severity = %(severity)s, title = %(title)s, scope = %(scope)s, since = least(since, %(since)s), level = %(level)s,
    next_step = %(next_step)s, runbook = %(runbook)s, link = %(link)s, detail = %(detail)s, state = 'open', resolved_at = null,
    changed_at = %(now)s
where alert_id = %(alert_id)s
returning *;
