-- It is being sent: should nothing be heard after this, nobody knows whether the channel took it.
update alert_messages as m
set attempts = m.attempts + 1, last_error = %(begun)s
from (select message_id, last_error from alert_messages where message_id = %(message_id)s and sent_at is null for update) as before
where m.message_id = before.message_id
returning
    m.message_id, m.alert_id, m.kind, m.level, m.body, m.created_at, m.attempts, before.last_error,
    (
        select o.body
        from alert_messages as o
        where o.alert_id = m.alert_id and o.channel = m.channel and o.kind = 'opened' and o.sent_at is not null
        order by o.message_id asc
        limit 1
    ) as opened_body;
