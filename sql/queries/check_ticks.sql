-- The rules of a day of ticks that every stream keeps, by what was counted of its rows, and those of its own: rule, whether it stops
-- the flow, rows that break it, rows looked at, examples.
with per_instrument as (
    select
        p.instrument,
        sum(p.found)::bigint as found,
        count(*) as spaces,
        sum(p.found - p.ids)::bigint as repeated,
        sum(p.steps_back)::bigint as steps_back
    from
        unnest(%(instruments)s::text[], %(found)s::bigint[], %(ids)s::bigint[], %(steps_back)s::bigint[])
            as p (instrument, found, ids, steps_back)
    group by p.instrument
),

ledger as (
    select
        coalesce(c.instrument, p.instrument) as instrument,
        coalesce(c.row_count, 0) as ledgered,
        -- What is in the archive alone was counted on its way there.
        case when c.is_dropped then c.row_count else coalesce(p.found, 0) end as stored,
        coalesce((select sum(upper(missing) - lower(missing)) from unnest(c.missing_ids) as missing), 0) as missing_ids
    from (select * from coverage where stream = %(stream)s and day = %(day)s) as c
    full outer join per_instrument as p on c.instrument = p.instrument
),

totals as (
    select
        coalesce(sum(found), 0) as found,
        coalesce(sum(repeated), 0) as repeated,
        count(*) filter (where spaces > 1) as mixed,
        count(*) as instruments
    from per_instrument
)

select rule, is_blocking, broken::bigint, looked_at::bigint, examples
from (
    select
        'each row once' as rule,
        true as is_blocking,
        t.repeated as broken,
        t.found as looked_at,
        %(repeated_examples)s::text[] as examples
    from totals as t
    union all
    select 'available no earlier than its time', true, %(available_before)s, t.found, '{{}}' from totals as t
    union all
    select 'one identity space per instrument', true, t.mixed, t.instruments, '{{}}' from totals as t
    union all
    select
        'rows equal the coverage ledger',
        true,
        count(*) filter (where l.ledgered <> l.stored),
        count(*),
        coalesce(
            (
                array_agg(format('%%s: %%s in the ledger, %%s stored', l.instrument, l.ledgered, l.stored))
                filter (where l.ledgered <> l.stored)
            )[1:5],
            '{{}}'
        )
    from ledger as l
    union all
    select
        'no row waits in quarantine',
        false,
        count(*),
        (select t.found from totals as t),
        coalesce((array_agg(distinct format('%%s: %%s', f.name, q.reason)))[1:5], '{{}}')
    from quarantine as q
    inner join landing_files as f on q.file_id = f.file_id
    where q.day = %(day)s and q.state = 'quarantined' and f.stream = %(stream)s
    union all
    select own.* from {more} as own
) as rules;
