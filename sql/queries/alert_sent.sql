-- The channel took it.
update alert_messages
set sent_at = %(now)s, last_error = null, body = body || %(receipt)s
where message_id = %(message_id)s;
