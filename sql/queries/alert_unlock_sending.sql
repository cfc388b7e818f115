-- The channel is free for another.
select pg_advisory_unlock(hashtextextended('alerts|send|' || %(channel)s::text, 0));
