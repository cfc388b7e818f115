-- On which days the trades of some ids stand: by the ledger of coverage, which knows the days that hold them, and the table itself; by
-- what is kept of them, where they stand on none.
with found as (
    select
        asked.instrument,
        asked.sequence,
        (known.event_time at time zone 'UTC')::date as day,
        known.is_standing,
        bool_or(known.is_standing) over (partition by asked.instrument, asked.sequence) as stands_somewhere
    from unnest(%(instruments)s::text[], %(sequences)s::bigint[]) as asked (instrument, sequence)
    cross join
        lateral (
            select
                t.event_time,
                true as is_standing
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
                false as is_standing
            from trade_revisions as r
            where
                r.instrument = asked.instrument and r.space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'ordinal')
                and r.sequence = asked.sequence
        ) as known
)

select
    f.instrument,
    f.sequence,
    array_agg(distinct f.day) as days
from found as f
where f.is_standing = f.stands_somewhere
group by f.instrument, f.sequence;
