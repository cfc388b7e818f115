-- Judges each incoming bar: new, duplicate, closed (the venue's final word on a bar that was captured open), conflict.
create temporary table judged_bars on commit drop as
with numbered as (
    select
        i.*,
        row_number() over same_bar as copy,
        jsonb_build_array(
            i.open, i.high, i.low, i.close, i.volume, i.quote_volume, i.vwap, i.trade_count, i.taker_buy_volume, i.taker_buy_quote_volume
        ) as told
    from incoming_bars as i
    window same_bar as (partition by i.instrument, i.interval, i.bar_start order by i.is_closed desc, i.line asc)
),

compared as (
    select
        n.*,
        f.told as first_told,
        v.instrument is not null as is_stored,
        v.is_closed as stored_closed,
        jsonb_build_array(
            v.open, v.high, v.low, v.close, v.volume, v.quote_volume, v.vwap, v.trade_count, v.taker_buy_volume, v.taker_buy_quote_volume
        )
            as stored_told
    from numbered as n
    inner join numbered as f on f.copy = 1 and n.instrument = f.instrument and n.interval = f.interval and n.bar_start = f.bar_start
    left join venue_bars as v on n.instrument = v.instrument and n.interval = v.interval and n.bar_start = v.bar_start
)

select
    c.*,
    case
        when c.copy > 1 then case when c.told = c.first_told or not c.is_closed then 'duplicate' else 'conflict' end
        when not c.is_stored then 'new'
        when c.told = c.stored_told and c.is_closed = c.stored_closed then 'duplicate'
        when c.is_closed and not c.stored_closed then 'closed'
        when c.stored_closed and not c.is_closed then 'duplicate'
        when not c.stored_closed and not c.is_closed then 'closed'
        else 'conflict'
    end as verdict
from compared as c;
