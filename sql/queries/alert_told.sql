-- How bad it was, and how loudly it was told.
update alerts
set told_level = %(level)s, detail = coalesce(detail, '{}') || jsonb_build_object('told_severity', %(severity)s::text)
where alert_id = %(alert_id)s;
