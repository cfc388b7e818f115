-- The bars of the instrument with most trades inside a window.
select b.instrument, b.bar_start, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.is_complete
from {bars} as b
where
    b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
    and b.instrument = (
        select m.instrument
        from {bars} as m
        where m.bar_start >= %(from_time)s and m.bar_start < %(to_time)s
        group by m.instrument
        order by sum(m.trade_count) desc, m.instrument
        limit 1
    )
order by b.bar_start;
