-- Mutes that hold now.
select
    m.scope,
    m.rule
from alert_mutes as m
where m.from_time <= %(now)s and m.to_time > %(now)s and m.ended_at is null;
