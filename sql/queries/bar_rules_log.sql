-- Appends to the log that the rules of a kind changed for some instruments, for every day of which there is what their bars are made
-- from.
insert into invalidation_log (relation, reason, instrument, day, from_time, to_time, logged_at)
select
    %(relation)s, 'rules', c.instrument, c.day, c.day::timestamp at time zone 'UTC', (c.day + 1)::timestamp at time zone 'UTC',
    clock_timestamp()
from coverage as c
left join bar_sources as s on c.instrument = s.instrument
where c.stream = coalesce(s.stream, 'trades') and c.instrument = any(%(instruments)s::text[]) and not c.is_dropped
returning day;
