-- One at a time speaks to a channel, for as long as its session lives: the order holds, and nothing is said twice at once.
select pg_try_advisory_lock(hashtextextended('alerts|send|' || %(channel)s::text, 0));
