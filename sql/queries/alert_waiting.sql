-- What waits, by channel: how much, since when it could have been sent, and why the last attempt failed.
select
    m.channel,
    count(*) as messages,
    min(m.created_at) as oldest,
    max(m.attempts) as attempts,
    (array_agg(m.last_error order by m.attempts desc, m.message_id asc) filter (where m.last_error is not null))[1] as last_error
from alert_messages as m
where m.sent_at is null and (m.attempts > 0 or m.not_before < %(before)s)
group by m.channel
order by m.channel;
