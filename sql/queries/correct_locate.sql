-- When the trades of some ids were: by the ledger of coverage, which knows the days that hold them, and the table itself.
select distinct on (asked.instrument, asked.sequence)
    asked.instrument,
    asked.sequence,
    found.event_time
from unnest(%(instruments)s::text[], %(sequences)s::bigint[]) as asked (instrument, sequence)
inner join coverage as c
    on
        asked.instrument = c.instrument and c.stream = 'trades'
        and asked.sequence between c.first_sequence and c.last_sequence
cross join
    lateral (
        select
            t.event_time,
            1 as preference
        from {table} as t
        where
            t.instrument = asked.instrument and t.space = c.space and t.sequence = asked.sequence
            and t.event_time >= c.day::timestamp at time zone 'UTC' and t.event_time < (c.day + 1)::timestamp at time zone 'UTC'
        union all
        select
            r.event_time,
            2 as preference
        from trade_revisions as r
        where r.instrument = asked.instrument and r.space = c.space and r.sequence = asked.sequence
    ) as found
order by asked.instrument, asked.sequence, found.preference, found.event_time;
