-- The trades of one instrument that count in its bars, in order, with what features are made of.
select
    t.event_time,
    t.available_at,
    t.available_basis = 'observed' as is_observed,
    t.price,
    t.size
from {ticks} as t
where
    t.instrument = %(instrument)s and t.space = %(space)s
    and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    and (
        t.conditions is null
        or not exists (
            select 1 from trade_conditions as c
            where c.venue = split_part(t.instrument, ':', 1) and c.condition = any(t.conditions) and not c.counts
        )
    )
order by t.event_time, t.sequence;
