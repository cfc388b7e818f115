-- Makes the windows of an instrument's quotes anew, within a time on their grid.
with made as (
    select
        date_bin('5 minutes', q.event_time, timestamptz '2000-01-01 00:00:00+00') as window_start,
        count(*) as quotes,
        percentile_cont(0.5) within group (
            order by (20000 * (q.ask_price - q.bid_price) / (q.ask_price + q.bid_price))::double precision
        ) as spread_bps
    from raw_quotes as q
    where q.instrument = %(instrument)s and q.event_time >= %(from_time)s and q.event_time < %(to_time)s
    group by 1
),

gone as (
    delete from quote_windows as w
    where
        w.instrument = %(instrument)s and w.window_start >= %(from_time)s and w.window_start < %(to_time)s
        and not exists (select 1 from made as m where m.window_start = w.window_start)
)

insert into quote_windows (instrument, window_start, quotes, spread_bps)
select
    %(instrument)s,
    m.window_start,
    m.quotes,
    m.spread_bps
from made as m
on conflict (instrument, window_start) do update
    set quotes = excluded.quotes, spread_bps = excluded.spread_bps
    where (quote_windows.quotes, quote_windows.spread_bps) is distinct from (excluded.quotes, excluded.spread_bps);
