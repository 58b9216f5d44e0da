"""How the result of each verb is shown: tables and sentences for people, JSON and CSV for programs."""
