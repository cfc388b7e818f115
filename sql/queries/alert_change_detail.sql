-- What else is known of an alert.
update alerts
set detail = %(detail)s
where alert_id = %(alert_id)s;
