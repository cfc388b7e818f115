-- The channel did not take it, or nobody knows: again later.
update alert_messages
set last_error = %(error)s, not_before = %(not_before)s
where message_id = %(message_id)s;
