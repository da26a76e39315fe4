<?php
// As in the official image: the login form proposes ADMINER_DEFAULT_SERVER, or `db`.
// No types below: the compiled adminer.php has none to be compatible with.

function adminer_object()
{
    return new class extends Adminer\Adminer {
        public function loginFormField($name, $heading, $value)
        {
            if ($name === 'server') {
                $server = htmlspecialchars(getenv('ADMINER_DEFAULT_SERVER') ?: 'db', ENT_QUOTES);
                $value = str_replace("value=''", "value='$server'", $value);
            }
            return parent::loginFormField($name, $heading, $value);
        }
    };
}

require 'adminer.php';
