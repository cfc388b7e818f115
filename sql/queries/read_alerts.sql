-- Alerts, those that are open or all, the loudest and last first.
select
    a.alert_id,
    a.cause,
    a.rule,
    a.severity,
    a.title,
    a.scope,
    a.since,
    a.level,
    a.told_level,
    a.next_step,
    a.runbook,
    a.link,
    a.detail,
    a.state,
    a.opened_at,
    a.changed_at,
    a.resolved_at
from alerts as a
where %(with_resolved)s or a.state = 'open'
order by a.state asc, a.severity asc, a.alert_id desc;
