-- The rules of a day of trades in one pass: rule, whether it stops the flow, rows that break it, rows looked at, examples.
with ordered as (
    select
        t.instrument,
        t.space,
        t.sequence,
        t.event_time,
        t.price > 0 and t.size > 0 as is_positive,
        t.available_at >= t.event_time as is_available_after,
        lag(t.sequence) over by_id = t.sequence as is_repeated,
        lag(t.event_time) over by_id > t.event_time as steps_back
    from raw_trades as t
    where t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    window by_id as (partition by t.instrument, t.space order by t.sequence)
),

per_instrument as (
    select
        o.instrument,
        count(*) as trades,
        count(distinct o.space) as spaces,
        count(*) filter (where o.is_repeated) as repeated,
        count(*) filter (where not o.is_positive) as not_positive,
        count(*) filter (where not o.is_available_after) as not_available_after,
        count(*) filter (where o.steps_back) as steps_back
    from ordered as o
    group by o.instrument
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
        coalesce(sum(not_positive), 0) as not_positive,
        coalesce(sum(not_available_after), 0) as not_available_after,
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
        '{}'::text[] as examples
    from totals as t
    union all
    select 'price and size positive', true, t.not_positive, t.trades, '{}' from totals as t
    union all
    select 'available no earlier than traded', true, t.not_available_after, t.trades, '{}' from totals as t
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
    select 'time never steps back along the ids', false, t.steps_back, t.trades, '{}' from totals as t
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
