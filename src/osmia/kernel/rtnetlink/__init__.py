"""Attachments that rtnetlink makes and links do not stand for."""
