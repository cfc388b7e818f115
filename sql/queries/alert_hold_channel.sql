-- A channel that does not answer is left alone for a while, whatever waits for it.
update alert_messages
set not_before = greatest(not_before, %(not_before)s)
where channel = %(channel)s and sent_at is null;
