-- What waits to be said is said as it is now. What may have been taken already stays as it is.
update alert_messages as m
set body = %(body)s::jsonb || jsonb_build_object('kind', m.kind), level = %(level)s
where
    m.message_id = (
        select max(w.message_id)
        from alert_messages as w
        where
            w.alert_id = %(alert_id)s and w.channel = %(channel)s and w.kind in ('opened', 'worse') and w.sent_at is null
            and coalesce(w.last_error, '') not like %(begun)s || '%%'
    )
returning m.message_id;
