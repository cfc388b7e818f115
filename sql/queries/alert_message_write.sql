-- Something to be said, once.
insert into alert_messages (alert_id, channel, kind, level, body, created_at, not_before)
values (%(alert_id)s, %(channel)s, %(kind)s, %(level)s, %(body)s, %(now)s, %(not_before)s)
on conflict (alert_id, channel, kind, level) do nothing;
