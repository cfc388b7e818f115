-- What became of each correction, and why, where it was refused.
select
    c.line,
    c.verdict,
    case c.verdict
        when 'scale'
            then format(
                '%s x %s has more decimals than the %s and %s that %s is held to: `rrr instruments set` widens them',
                c.price, c.size, c.price_scale, c.size_scale, c.instrument
            )
        when 'time'
            then format('the corrected time %s leaves the day of the trade: cancel it, and take the other in as a trade', c.new_event_time)
        when 'conflict' then format('trade %s of %s was cancelled by batch %s', c.sequence, c.instrument, c.ended_by_batch_id)
        when 'unknown_trade'
            then format('no trade %s of %s is stored on that day: take it in first, then replay this line', c.sequence, c.instrument)
    end as detail,
    c.instrument,
    c.event_time,
    c.sequence
from corrected as c
order by c.line;
