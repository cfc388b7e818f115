-- When the trades of some ids were: by the ledger of coverage, which knows the days that hold them, and the table itself; by what is
-- kept of them, where they stand no more.
select distinct on (asked.instrument, asked.sequence)
    asked.instrument,
    asked.sequence,
    found.event_time
from unnest(%(instruments)s::text[], %(sequences)s::bigint[]) as asked (instrument, sequence)
cross join
    lateral (
        select
            t.event_time,
            0 as revision_id
        from coverage as c
        inner join {table} as t
            on
                c.instrument = t.instrument and c.space = t.space
                and t.event_time >= c.day::timestamp at time zone 'UTC' and t.event_time < (c.day + 1)::timestamp at time zone 'UTC'
        where
            c.instrument = asked.instrument and c.stream = 'trades'
            and asked.sequence between c.first_sequence and c.last_sequence and t.sequence = asked.sequence
        union all
        select
            r.event_time,
            -r.revision_id as revision_id
        from trade_revisions as r
        where
            r.instrument = asked.instrument and r.space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'ordinal')
            and r.sequence = asked.sequence
    ) as found
order by asked.instrument asc, asked.sequence asc, found.revision_id = 0 desc, found.revision_id asc;
