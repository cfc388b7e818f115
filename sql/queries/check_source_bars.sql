-- What the shorter bars of a day add up to, per instrument.
select
    s.instrument,
    sum(s.trade_count) as trade_count,
    trim_scale(sum(s.volume)) as volume,
    trim_scale(sum(s.quote_volume)) as quote_volume,
    max(s.high) as high,
    min(s.low) as low
from {shorter} as s
where s.bar_start >= %(from_time)s and s.bar_start < %(to_time)s
group by s.instrument;
