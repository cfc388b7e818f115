-- It is not over after all: what waited to say so is not said.
delete from alert_messages
where alert_id = %(alert_id)s and kind = 'resolved' and sent_at is null and coalesce(last_error, '') not like %(begun)s || '%%';
