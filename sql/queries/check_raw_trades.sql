-- The rules of a day of trades, by what was counted of its rows: rule, whether it stops the flow, rows that break it, rows looked at,
-- examples.
with per_instrument as (
    select
        p.instrument,
        sum(p.found)::bigint as trades,
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
        case when c.is_dropped then c.row_count else coalesce(p.trades, 0) end as stored,
        coalesce((select sum(upper(missing) - lower(missing)) from unnest(c.missing_ids) as missing), 0) as missing_ids
    from (select * from coverage where stream = 'trades' and day = %(day)s) as c
    full outer join per_instrument as p on c.instrument = p.instrument
),

totals as (
    select
        coalesce(sum(trades), 0) as trades,
        coalesce(sum(repeated), 0) as repeated,
        coalesce(sum(steps_back), 0) as steps_back,
        count(*) filter (where spaces > 1) as mixed,
        count(*) as instruments
    from per_instrument
)

select rule, is_blocking, broken::bigint, looked_at::bigint, examples
from (
    select
        'each trade once' as rule,
        true as is_blocking,
        t.repeated as broken,
        t.trades as looked_at,
        %(repeated_examples)s::text[] as examples
    from totals as t
    union all
    select 'price and size positive', true, %(not_positive)s, t.trades, '{}' from totals as t
    union all
    select 'available no earlier than traded', true, %(available_before)s, t.trades, '{}' from totals as t
    union all
    select 'one identity space per instrument', true, t.mixed, t.instruments, '{}' from totals as t
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
            '{}'
        )
    from ledger as l
    union all
    select 'time never steps back along the ids', false, t.steps_back, t.trades, %(steps_examples)s::text[] from totals as t
    union all
    select
        'no id missing between the first and the last',
        false,
        coalesce(sum(l.missing_ids), 0),
        coalesce(sum(l.stored), 0),
        coalesce((array_agg(format('%%s: %%s ids', l.instrument, l.missing_ids)) filter (where l.missing_ids > 0))[1:5], '{}')
    from ledger as l
    union all
    select
        'no row waits in quarantine',
        false,
        count(*),
        (select t.trades from totals as t),
        coalesce((array_agg(distinct format('%%s: %%s', f.name, q.reason)))[1:5], '{}')
    from quarantine as q
    inner join landing_files as f on q.file_id = f.file_id
    where q.day = %(day)s and q.state = 'quarantined' and f.stream = 'trades'
    union all
    select
        'every expected instrument is there',
        false,
        count(*) filter (where l.instrument is null),
        count(*),
        coalesce((array_agg(i.instrument) filter (where l.instrument is null))[1:5], '{}')
    from instruments as i
    left join ledger as l on i.instrument = l.instrument
    where i.valid_to is null and i.bars_stream = 'trades' and i.listed_on <= %(day)s and (i.delisted_on is null or i.delisted_on > %(day)s)
) as rules;
