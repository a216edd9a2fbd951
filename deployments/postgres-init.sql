-- Prefect's own database, beside Cornerman's. Run once, when the volume is new.
CREATE DATABASE prefect;
