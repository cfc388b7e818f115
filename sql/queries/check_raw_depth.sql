-- The rules of depth alone: on spot each change begins where the one before it ended. On futures update ids
-- leave some out between one change and the next.
select
    'changes follow each other without a jump' as rule,
    false as is_blocking,
    count(*) filter (where c.first_update_id > c.update_before + 1) as broken,
    count(*) as looked_at,
    coalesce(
        (
            array_agg(format('%%s: updates %%s to %%s', c.instrument, c.update_before + 1, c.first_update_id - 1))
            filter (where c.first_update_id > c.update_before + 1)
        )[1:5],
        '{{}}'
    ) as examples
from (
    select
        d.instrument,
        d.first_update_id,
        lag(d.last_update_id) over (partition by d.instrument order by d.sequence) as update_before
    from raw_depth as d
    where
        d.event_time >= %(from_time)s and d.event_time < %(to_time)s
        and d.message = 'delta' and split_part(d.instrument, ':', 1) = 'binance'
) as c;
