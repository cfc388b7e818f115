-- Which of some gaps lie in an outage that was announced: nothing is to be had of it.
select g.gap_id
from gaps as g
where
    g.gap_id = any(%(gap_ids)s)
    and exists (
        select 1 from alert_mutes as m
        where
            m.ended_at is null and m.scope in ('*', g.instrument, split_part(g.instrument, ':', 1)) and (m.rule is null or m.rule = 'gap')
            and m.from_time <= g.from_time and m.to_time >= g.to_time - interval '1 second'
    );
