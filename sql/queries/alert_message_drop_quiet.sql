-- What was held back by quiet hours and is over before they are is not said at all.
delete from alert_messages as m
where m.alert_id = %(alert_id)s and m.sent_at is null and m.attempts = 0 and m.not_before > %(now)s and m.kind in ('opened', 'worse')
returning m.channel, m.kind;
