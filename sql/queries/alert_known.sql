-- Alerts that are open, and those that were over not long ago, with what is said of them and not yet sent, and what was.
select
    a.*,
    coalesce(m.opened, '{}') as opened,
    coalesce(m.was_said_over, false) as was_said_over
from alerts as a
left join lateral (
    select
        array_agg(distinct s.channel) filter (where s.kind = 'opened') as opened,
        bool_or(s.kind = 'resolved' and (s.sent_at is not null or s.last_error like %(begun)s || '%%')) as was_said_over
    from alert_messages as s
    where s.alert_id = a.alert_id
) as m on true
where a.state = 'open' or a.resolved_at > %(since)s
order by a.alert_id;
