-- It is over.
update alerts
set state = 'resolved', resolved_at = %(now)s, changed_at = %(now)s
where alert_id = %(alert_id)s and state = 'open'
returning *;
