-- Mutes, those that hold or will, or all, the last one first.
select
    m.mute_id,
    m.scope,
    m.rule,
    m.from_time,
    m.to_time,
    m.reason,
    m.placed_at,
    m.placed_by,
    m.ended_at
from alert_mutes as m
where %(with_ended)s or (m.ended_at is null and m.to_time > now())
order by m.mute_id desc;
