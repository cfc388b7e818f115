-- The metrics of 5-minute windows of some instruments, and null where they are not known.
-- A window without a bar counts as nothing traded where the tape covers it, and where bars are not behind. Of today, what lies between the
-- newest row and a while ago counts as nothing too: a feed that died shows so. Of a window that is covered in part, the numbers are what
-- is there at least. Days whose bars are in the archive alone are left out.
with days as materialized (
    select
        i.instrument,
        d.day::date as day,
        d.day::timestamp at time zone 'UTC' as day_start,
        'raw_' || i.bars_stream as relation,
        c.covered,
        case
            when d.day::date = %(today)s and c.row_count > 0 and c.last_time < %(settled)s
                then tstzrange(c.last_time, %(settled)s)
        end as silent,
        w.covered as quotes_covered,
        case
            when d.day::date = %(today)s and w.row_count > 0 and w.last_time < %(settled)s
                then tstzrange(w.last_time, %(settled)s)
        end as quotes_silent
    from instruments as i
    cross join
        generate_series(
            (%(from_time)s::timestamptz at time zone 'UTC')::date::timestamp,
            ((%(to_time)s::timestamptz - interval '1 microsecond') at time zone 'UTC')::date::timestamp,
            interval '1 day'
        ) as d (day)
    left join coverage as c on i.instrument = c.instrument and i.bars_stream = c.stream and d.day::date = c.day
    left join coverage as w on i.instrument = w.instrument and w.stream = 'quotes' and d.day::date = w.day
    where
        i.valid_to is null and i.instrument = any(%(instruments)s) and (c.day is not null or w.day is not null)
        and not exists (
            select 1 from partition_tiers as p
            where
                p.relation = 'bars_5m' and p.partition_start = date_trunc('month', d.day::timestamp)::date and p.tier in ('cold', 'deleted')
        )
        and (
            not %(only_available)s
            or exists (select 1 from quality_days as q where q.instrument = i.instrument and q.day = d.day::date and q.status = 'available')
        )
),

-- How far bars and windows of quotes are, where they are not up to date.
behind as materialized (
    select distinct
        n.instrument,
        n.day,
        follows.consumer = 'quote_windows' as are_quotes
    from days as d
    inner join invalidation_days as n on d.instrument = n.instrument and d.day = n.day
    inner join
        unnest(array['bars_1m', 'bars_1m', 'bars_5m', 'quote_windows'], array['raw_trades', 'raw_agg_trades', 'bars_1m', 'raw_quotes'])
            as follows (consumer, relation)
        on n.relation = follows.relation
    where
        (n.relation not in ('raw_trades', 'raw_agg_trades') or n.relation = d.relation)
        and n.last_id > coalesce((
            select a.applied_through from invalidations_applied as a
            where a.consumer = follows.consumer and a.relation = n.relation and a.instrument = n.instrument and a.day = n.day
        ), 0)
),

grid as (
    select
        d.*,
        w.window_start,
        tstzrange(w.window_start, w.window_start + interval '5 minutes') as span
    from days as d
    cross join generate_series(d.day_start, d.day_start + interval '23:55:00', interval '5 minutes') as w (window_start)
    where w.window_start >= %(from_time)s and w.window_start + interval '5 minutes' <= %(to_time)s
)

select
    g.instrument,
    extract(epoch from g.window_start)::bigint as starts,
    case when b.instrument is not null then b.volume::double precision when k.may_be_nothing then 0::double precision end as volume,
    case
        when b.instrument is not null then b.trade_count::double precision
        when k.may_be_nothing then 0::double precision
    end as trade_rate,
    b.instrument is not null and not k.is_whole as is_part,
    q.spread_bps as spread,
    case
        when q.instrument is not null then q.quotes::double precision
        when k.may_be_no_quote then 0::double precision
    end as message_rate,
    q.instrument is not null and not k.is_whole_of_quotes as is_part_of_quotes
from grid as g
left join bars_5m as b on g.instrument = b.instrument and g.window_start = b.bar_start
left join quote_windows as q on g.instrument = q.instrument and g.window_start = q.window_start
left join behind as t on g.instrument = t.instrument and g.day = t.day and not t.are_quotes
left join behind as u on g.instrument = u.instrument and g.day = u.day and u.are_quotes
cross join
    lateral (
        select
            t.instrument is null and coalesce(g.covered @> g.span, false) as is_whole,
            t.instrument is null and (coalesce(g.covered @> g.span, false) or coalesce(g.silent @> g.span, false)) as may_be_nothing,
            u.instrument is null and coalesce(g.quotes_covered @> g.span, false) as is_whole_of_quotes,
            u.instrument is null
            and (coalesce(g.quotes_covered @> g.span, false) or coalesce(g.quotes_silent @> g.span, false)) as may_be_no_quote
    ) as k
order by g.instrument, g.window_start;
