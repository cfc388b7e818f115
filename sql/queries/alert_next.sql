-- The next message of a channel that is due and has none of its alert before it, oldest first.
select m.message_id
from alert_messages as m
where
    m.channel = %(channel)s and m.sent_at is null and m.not_before <= %(now)s and m.message_id > %(after)s
    and not exists (
        select 1
        from alert_messages as e
        where e.alert_id = m.alert_id and e.channel = m.channel and e.sent_at is null and e.message_id < m.message_id
    )
order by m.message_id asc
limit 1;
