-- A mute ends before its time.
update alert_mutes
set ended_at = %(now)s
where mute_id = %(mute_id)s and ended_at is null and to_time > %(now)s
returning mute_id;
