-- Enters a day that came back to be written in the log, as changed by the rules of bars by what was traded.
insert into invalidation_log (relation, instrument, day, from_time, to_time, reason, batch_id, logged_at)
select
    k.relation,
    c.instrument,
    c.day,
    c.day::timestamp at time zone 'UTC',
    (c.day + 1)::timestamp at time zone 'UTC',
    'restore',
    null,
    clock_timestamp()
from coverage as c
left join bar_sources as s on c.instrument = s.instrument
cross join (values ('bar_rules_tick'), ('bar_rules_volume'), ('bar_rules_dollar')) as k (relation)
where c.day = %(day)s and c.stream = %(stream)s and c.stream = coalesce(s.stream, 'trades')
order by c.instrument, k.relation;
