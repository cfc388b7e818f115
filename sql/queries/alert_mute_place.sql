-- A mute.
insert into alert_mutes (scope, rule, from_time, to_time, reason, placed_at, placed_by)
values (%(scope)s, %(rule)s, %(from_time)s, %(to_time)s, %(reason)s, %(now)s, %(placed_by)s)
returning mute_id;
