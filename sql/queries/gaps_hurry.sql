-- Makes gaps that are open due at once.
update gaps set next_attempt_at = null where gap_id = any(%(gap_ids)s) and state = 'open' and next_attempt_at is not null;
